"""Where the workshop's frames come from; one file a source."""
