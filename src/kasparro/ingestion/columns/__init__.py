"""Rows of text as columns: the fast way for records that are plainly good. Whatever is not goes the way of records."""
