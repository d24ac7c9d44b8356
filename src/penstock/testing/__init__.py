"""For tests of programs that use Penstock, and of stores that implement its ports."""
