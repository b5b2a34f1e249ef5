"""Where the workshop's frames come from; one file a source."""

# It has OpenCV round alike everywhere: a seed gives the same bytes in every process.
import distill_vo.frame  # noqa: F401
