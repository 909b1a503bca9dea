"""`--mode doctor`: what is on disk, what it lacks, and what to do."""

from rireid_jax.doctor.diagnosis import doctor

__all__ = ["doctor"]
