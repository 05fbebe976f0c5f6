"""The faces of a report: HTML, Markdown, and the short digest. They lay out and escape; no face
computes a number that people read (axes are theirs)."""
