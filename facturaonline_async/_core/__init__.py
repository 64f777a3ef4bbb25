"""Private machinery: how one call is made, limited, repeated and done once."""
