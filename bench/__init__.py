"Side-by-side timings against what one would use instead; each writes its figures to results/"
