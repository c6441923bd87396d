"""Joint probabilistic data association: detections of successive frames become tracks."""
