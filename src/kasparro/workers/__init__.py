"""How runs get started by themselves: the scheduler."""
