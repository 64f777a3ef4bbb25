"""Parts of the documentation that are made from the code: a page says where, ``<!-- generate: command -->``."""
