"""RigConfig to concrete devices: the only package that names a vendor or a simulator."""

from app.rig.build import build_rig
from app.rig.doctor import doctor
from app.runtime.devices import Rig

__all__ = ["Rig", "build_rig", "doctor"]
