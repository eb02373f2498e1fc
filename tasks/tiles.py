"""Kernel: arithmetic of Web-Mercator XYZ tiles."""
import numpy as np
from numpy.typing import NDArray

def _lonlat(z, x, y):
    n = np.exp2(np.asarray(z, np.float64))
    lon = x / n * 360.0 - 180.0
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * y / n))))
    return lon, lat

def tile_centre(z, x, y):
    return _lonlat(z, x + 0.5, y + 0.5)

def tile_corner(z, x, y):
    return _lonlat(z, x, y)

def ground_resolution(latitude, z):
    return 156543.03392804097 * np.cos(np.radians(latitude)) / np.exp2(np.asarray(z, np.float64))

def nominal_resolution(z):
    return np.exp2(17.0 - z)
