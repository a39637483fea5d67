# Cost as work grows: bench/scaling.py, then gnuplot docs/figures/scaling.gp (from the root)
set terminal svg size 900,640 font "sans-serif,13" background "white"
set output "docs/figures/scaling.svg"
set multiplot layout 2,2 title "Training the CNN on MNIST: cost as work grows"
set grid lc rgb "#dddddd"
set style data linespoints
set key top right
in(name) = sprintf("docs/results/scaling-%s.tsv", name)

set logscale x 2
set xlabel "batch size"
set ylabel "microseconds per image"
set yrange [0:*]
plot in("batch") using 1:2 skip 2 title "1 thread" lw 2 pt 5 ps 0.7 lc rgb "#0072b2", \
     in("batch") using 1:4 skip 2 title "2 threads" lw 2 pt 7 ps 0.7 lc rgb "#d55e00"

set ylabel "peak resident memory (MB)"
set key top left
plot in("batch") using 1:5 skip 2 title "bench step, 2 threads" lw 2 pt 7 ps 0.7 lc rgb "#d55e00"

unset logscale x
set xlabel "training images"
set ylabel "seconds"
plot in("data") using 1:2 skip 2 title "training, one epoch" lw 2 pt 5 ps 0.7 lc rgb "#0072b2", \
     in("data") using 1:3 skip 2 title "from start to exit" lw 2 pt 7 ps 0.7 lc rgb "#d55e00"

set xlabel "seconds of a long run"
set ylabel "memory (MB)"
set key bottom right
plot in("memory") using 1:2 skip 2 title "resident" with lines lw 2 lc rgb "#0072b2", \
     in("memory") using 1:3 skip 2 title "of it anonymous" with lines lw 2 lc rgb "#d55e00"
unset multiplot
