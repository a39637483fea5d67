# The README's picture: gnuplot docs/figures/accuracy.gp (from the repository's root)
set terminal svg size 720,360 font "sans-serif,13" background "white"
set output "docs/figures/accuracy.svg"
set title "CNN of the PyTorch MNIST example, five seeds: test accuracy by epoch"
set xlabel "epoch"
set ylabel "test accuracy (%)"
set xrange [0.8:5.2]
set yrange [98:99.4]
set xtics 1
set grid ytics lc rgb "#dddddd"
set key bottom right
set style data linespoints
plot for [i=2:6] "docs/results/accuracy-by-epoch.tsv" using 1:i skip 1 title sprintf("seed %d", i-1) \
     lw 2 pt (i+3) ps 0.7 lc rgb word("#0072b2 #d55e00 #009e73 #cc79a7 #56b4e9", i-1)
