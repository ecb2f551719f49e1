"""What the examples must hold before anything is learnt from them."""
