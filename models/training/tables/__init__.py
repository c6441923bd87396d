"""The paper's tables again, on the specimen, with equal data and budget for every network."""
