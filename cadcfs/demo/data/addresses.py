"""How URIs of files stand in the paths of addresses (RFC 3986, section 3.3)."""

IN_PATHS = "/:+,;=@!$&'()*~"
"""What needs no escape there, besides letters, digits and `-._`."""
