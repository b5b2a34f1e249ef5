"""Where the workshop's frames come from; one file a source."""

import cv2

cv2.ipp.setUseIPP(False)  # as on the robot: it rounds otherwise, and a seed gives the same bytes everywhere
