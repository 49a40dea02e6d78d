"""Models and questions changed on purpose: what was forgotten comes back, or it does not.

Each function gives a changed copy; `checkpoints.save_changed` writes it as a folder that is scored like any other.
"""
