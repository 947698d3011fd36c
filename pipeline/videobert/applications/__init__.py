"""What people do with the embeddings: one file or folder per application, found by its name.

`recommend` holds the class `Recommend`, which is the command `videobert recommend` and the method
`videobert.open(root).recommend(...)`. Nothing else lists it. `videobert.application` says what such a class is.
"""
