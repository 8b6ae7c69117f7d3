"""What Linux asks. Only here and in mount.py is pyfuse3 known."""
