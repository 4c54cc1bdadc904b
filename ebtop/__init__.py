"""ebtop: top for what /proc cannot show."""

__version__ = "0.1.0"
