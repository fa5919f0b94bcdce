"""Model files without the compiled part: what couplet.torch and couplet.jax have in common."""
