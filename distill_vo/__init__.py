"""distill_vo: metric visual odometry for ROS 2 from one calibrated camera and a distilled student."""
