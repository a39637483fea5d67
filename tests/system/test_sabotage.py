"""The comparisons must be able to fail: copies of the numerics with one planted change each.

Each copy is built by numerics/numerics.mk and run; at least one of its hashes must differ from the
golden file (or the named unit test must fail, or with "watch" a denormal be met). The untouched copy must pass everything first.

Not listed, because they change no bit by definition: how work is cut into items (BAND_CELLS,
INPUTS_PER_ITEM, FLOATS_PER_ITEM, the groups of conv_sparse.c), tile shapes, swapping the two operands
of an addition or product, ReLU as maximum of finite values, visiting a term with a zero factor, the +0
at the end of chains that a ReLU or settling follows; settles that only keep a denormal away which no case
can bring about (the ratio inside Adadelta's root, the sum inside dgamma).

environment: SOURCE_DIR, BUILD_DIR; ISOBIT_SABOTAGE, "all" or how many changes (30), chosen by
ISOBIT_TEST_SEED (printed); that the text of every change is there is always looked at
"""
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import time

ROOT = os.environ["SOURCE_DIR"]
WORK = os.path.join(os.environ["BUILD_DIR"], "sabotage")
JOBS = str(min(4, os.cpu_count() or 1))
CC = "gcc"
WANTED = os.environ.get("ISOBIT_SABOTAGE", "30")
SEED = int(os.environ.get("ISOBIT_TEST_SEED", str(time.time_ns() % 1000000)))

# (what, file below src/, [(text, instead of it)], instruction set: vector, scalar, scalar-soft or
# both, what must notice). A check is a WHAT of numerics.c or a unit test.
CHANGES = [
    ("leaf tree of the kernels summed from its greatest node", "backend/cpu/kernels/leaf_sum.h",
     [("int level = __builtin_ctzll((unsigned long long)leaves);",
       "int level = 63 - __builtin_clzll((unsigned long long)leaves);"),
      ("for (leaves &= leaves - 1; leaves != 0; leaves &= leaves - 1)",
       "for (leaves ^= 1ll << level; leaves != 0; "
       "leaves ^= 1ll << (63 - __builtin_clzll((unsigned long long)leaves)))"),
      ("stack[__builtin_ctzll((unsigned long long)leaves)], total",
       "stack[63 - __builtin_clzll((unsigned long long)leaves)], total")], "vector", ["ops"]),
    ("one reordered add where leaves of a linear layer merge",
     "backend/cpu/kernels/linear_backward.c",
     [("for (int level = 0; level < rest; ++level)", "for (int level = rest - 1; level >= 0; --level)")],
     "vector", ["ops"]),
    ("leaf tree of the reference one-sided", "backend/cpu/ref/leaf_sum.c",
     [("while (2 * left < leaves)\n        left *= 2;", "while (left + 1 < leaves)\n        ++left;")],
     "scalar", ["ops"]),
    ("every fma of the kernels as product and sum", "backend/cpu/kernels/simd.h",
     [("return _mm256_fmadd_ps(a, b, c);", "return _mm256_add_ps(_mm256_mul_ps(a, b), c);"),
      ("return vfmaq_f32(c, a, b);", "return vaddq_f32(c, vmulq_f32(a, b));")],
     "vector", ["ops", "cnn:9"]),
    ("one dropped fma, in the update of Adadelta", "backend/cpu/kernels/update_adadelta.c",
     [("v_fma(v_set1(-u[IB_ADADELTA_LR]), step, w)",
       "v_add(v_mul(v_set1(-u[IB_ADADELTA_LR]), step), w)")],
     "vector", ["ops"]),  # not cnn:9, whose rate of 1 makes the product exact
    ("one dropped fma in the reference of linear layers", "backend/cpu/ref/linear.c",
     [("chain = exact_fma(a[k * a_step], b[k * b_step], chain);",
       "chain = a[k * a_step] * b[k * b_step] + chain;")], "scalar", ["ops"]),
    ("one bit of one dropout word", "backend/cpu/kernels/dropout.h",
     [("philox_group(&dropout->rng, element / 64, words);",
       "philox_group(&dropout->rng, element / 64, words); words[7] ^= 0x80000000u;")],
     "vector", ["ops", "cnn:9"]),
    ("dropout at the threshold itself", "backend/cpu/kernels/dropout.h",
     [("words[begin + j] < dropout->threshold", "words[begin + j] <= dropout->threshold")],
     "vector", ["ops"]),
    ("nine rounds of Philox in the kernels", "backend/cpu/kernels/dropout.h",
     [("round < 10", "round < 9")], "vector", ["ops", "cnn:9"]),
    ("nine rounds of Philox everywhere", "base/philox.h", [("round < 10", "round < 9")],
     "both", ["ops", "mlp-sgd:9", "test_philox"]),
    ("kernel rows (ky) of a chain backwards", "backend/cpu/kernels/tile.h",
     [("for (int64_t run = 0; run < tile->runs; ++run) {",
       "for (int64_t run = tile->runs - 1; run >= 0; --run) {")], "vector", ["ops", "cnn:9"]),
    ("kernel columns before rows in the reference", "backend/cpu/ref/conv.c",
     [("for (int64_t ky = 0; ky < c->kh; ++ky)\n        for (int64_t kx = 0; kx < c->kw; ++kx)\n"
       "            for (int64_t ci = 0; ci < s->ci; ++ci)\n                dots_term",
       "for (int64_t kx = 0; kx < c->kw; ++kx)\n        for (int64_t ky = 0; ky < c->kh; ++ky)\n"
       "            for (int64_t ci = 0; ci < s->ci; ++ci)\n                dots_term")],
     "scalar", ["ops"]),
    ("windows that repeat in their first row only", "backend/cpu/kernels/conv_forward.c",
     [("column &= rows[top + ky];", "column &= rows[top];")], "vector", ["ops"]),
    ("the list of a pair without its right pixel", "backend/cpu/kernels/conv_pairs.c",
     [("v_or(left, right)", "left")], "vector", ["ops"]),
    ("pairs over the end of a row", "backend/cpu/kernels/conv_pairs.c",
     [("int at_end = pixels[i] % s->ow == s->ow - 1;", "int at_end = 0;")], "vector", ["ops"]),
    ("pairs for more than one segment", "backend/cpu/kernels/conv_pairs.c",
     [("s->k <= IB_SEGMENT", "s->k <= 2 * IB_SEGMENT")], "vector", ["ops"]),
    ("lists for more channels than one segment holds", "backend/cpu/kernels/conv_sparse.c",
     [(" &&\n           TAPS * c->co <= IB_SEGMENT;", ";")], "vector", ["ops"]),
    ("segments not cut below 1152 terms", "backend/cpu/kernels/product.h",
     [("if (terms <= IB_SEGMENT) {", "if (terms <= 2 * IB_SEGMENT) {")], "vector", ["ops"]),
    ("segments of 512 everywhere", "backend/cpu/cpu.h", [("IB_SEGMENT = 576,", "IB_SEGMENT = 512,")],
     "both", ["ops", "mlp-sgd:9"]),
    ("leaves of 4 samples everywhere", "backend/cpu/cpu.h", [("IB_LEAF = 8,", "IB_LEAF = 4,")],
     "both", ["ops", "mlp-sgd:9"]),
    ("weight-gradient chains twice as long everywhere", "backend/cpu/cpu.h",
     [("IB_CHAIN_PIXELS = 1024,", "IB_CHAIN_PIXELS = 2048,")], "both", ["ops", "cnn:9"]),
    ("pooling ties to the last", "backend/cpu/kernels/conv_forward.c",
     [("vmask greater = v_gt(candidate, best);",
       "vmask greater = v_gt(v_add(candidate, v_set1(0x1p-149f)), best);")], "vector", ["ops"]),
    ("the list of a channel one pixel late", "backend/cpu/kernels/conv_sparse.c",
     [("vi_set1(2 * dy + 1)", "vi_set1(2 * (1 - dy) + 1)")], "vector", ["ops", "cnn:9"]),
    ("state set to zero below 2^-101", "backend/cpu/kernels/simd.h",
     [("v_set1(0x1p-100f)", "v_set1(0x1p-101f)")], "vector", ["ops"]),
    ("one product of the update regrouped", "backend/cpu/kernels/update_adadelta.c",
     [("v_mul(v_mul(g, g), rest)", "v_mul(g, v_mul(g, rest))")], "vector", ["ops", "cnn:9"]),
    ("a mean by its first pass alone", "backend/cpu/kernels/norm.c",
     [("*mean = v_settle(v_add(k.mean, rest));", "*mean = k.mean;")], "vector", ["ops"]),
    ("samples of a leaf summed from the last on", "backend/cpu/kernels/norm.c",
     [("for (int i = 0; i < count; ++i) { /* the first", "for (int i = count - 1; i >= 0; --i) { /* the first")],
     "vector", ["ops"]),
    ("a biased running variance in the reference", "backend/cpu/ref/norm.c",
     [("variance * norm->unbiased", "variance")], "scalar", ["ops"]),
    ("gradients masked that have two readers", "backend/cpu/kernels/conv_batched.c",
     [("conv->mask_input ? p->x : NULL", "p->x")], "vector", ["ops"]),
    ("ties of the overlapping pool to the last", "backend/cpu/kernels/pool.c",
     [("v_gt(value, best)", "v_gt(v_add(value, v_set1(0x1p-149f)), best)")], "vector", ["ops"]),
    ("windows of the overlapping pool backwards", "backend/cpu/ref/pool.c",
     [("for (int64_t oy = 0; oy < oh; ++oy)", "for (int64_t oy = oh - 1; oy >= 0; --oy)")],
     "scalar", ["ops"]),
    ("one digit of the normal quantile", "nn/parameters.c", [("3.3871327179", "3.3871327199")],
     "both", ["resnet18-sgd:2"]),
    ("one coefficient of exp off by a bit", "backend/cpu/ref/exact_math.h",
     [("1.66666657e-1f", "1.66666672e-1f")], "both", ["ops", "test_exact_math"]),
    ("one coefficient of log off by a bit", "backend/cpu/ref/exact_math.h",
     [("0.66666663f", "0.66666669f")], "both", ["test_exact_math"]),
    ("softmax by a reciprocal", "backend/cpu/ref/softmax.c", [("e[j] / sum", "e[j] * (1.0f / sum)")],
     "both", ["ops", "mlp-sgd:9"]),
    ("software fma that rounds twice", "backend/cpu/ref/exact_math.h",
     [("(bits & 1) == 0 && sum", "(bits & 1) == 2 && sum")], "scalar-soft", ["test_exact_math"]),
    ("pixels normalised by a reciprocal", "nn/parameters.c",
     [("rounded(((double)v / 255.0 - mean) / deviation)",
       "(float)(((double)v * (1.0 / 255.0) - mean) * (1.0 / deviation)) + (v == 7) * 0x1p-24f")],
     "both", ["mlp-sgd:9"]),
    ("mean loss and gradients by a truncated 1/n", "nn/network.c",
     [("(float)(1.0 / (double)global)", "(float)(0.99999997 / (double)global)")], "both",
     ["mlp-sgd:9"]),
    ("equals of the SVM's solver to the last", "backend/cpu/kernels/svm_solve.c",
     [("at[lane] < at[best]", "at[lane] > at[best]")], "vector", ["svm"]),
    ("the two rows of an SVM step apart", "backend/cpu/kernels/svm_solve.c",
     [("vd_sub(vd_load(part->f + k), vd_mul(step, difference))",
       "vd_add(vd_sub(vd_load(part->f + k), vd_mul(step, vd_load_float(ki + k))), "
       "vd_mul(step, vd_load_float(kj + k)))")], "vector", ["svm"]),
    ("the last coefficient of the SVM's exp", "backend/cpu/ref/svm.c",
     [("0x1.a01a01a01a01ap-16", "0x1.a01a01a01a01ap-17")], "scalar", ["svm"]),
    ("rho before the second sum of a decision", "svm/predict.c",
     [("(sums_of(p, sums, a, b - 1)[c] + sums_of(p, sums, b, a)[c]) -\n"
       "                                  model->pairs[pair].rho",
       "(sums_of(p, sums, a, b - 1)[c] - model->pairs[pair].rho) + sums_of(p, sums, b, a)[c]")],
     "both", ["svm"]),
]
# One settle left out: (what, file, text that settles, instruction sets). Where nothing but a denormal on
# the way is left of it, the flags must tell.
K, R = "backend/cpu/kernels/", "backend/cpu/ref/"
UNSETTLED = [
    ("outputs without ReLU", K + "simd.h", "relu ? v_relu(x) : v_settle(x)", "relu ? v_relu(x) : x"),
    ("outputs of a ReLU", K + "simd.h", "v_select(v_ge(x, v_set1(0x1p-40f)), x, v_zero())",
     "v_select(v_gt(x, v_zero()), x, v_zero())"),
    ("masked gradients of inputs", K + "simd.h", "v_mul(v_settle(g), scale)", "v_mul(g, scale)"),
    ("bare outputs over the batch", K + "conv_batched.c",
     ".settle = bare && first == t->last_segment", ".settle = 0"),
    ("weights over the batch", K + "conv_batched_weights.c", "step->to < 0 ? t->limit : 0.0f", "0.0f"),
    ("too early, sums over the batch", K + "conv_batched_weights.c",
     "step->to < 0 ? t->limit : 0.0f", "t->limit"),
    ("bias over the batch", K + "conv_batched_weights.c", "leaf_end(leaf_total(stack, leaves), g->node)",
     "leaf_end(leaf_total(stack, leaves), 1)"),
    ("weights of a linear layer", K + "linear_backward.c", "v_zero()), b->shape->node)", "v_zero()), 1)"),
    ("bias of a linear layer", K + "linear_backward.c",
     "leaf_end(leaf_total(stack, leaves), b->shape->node)", "leaf_end(leaf_total(stack, leaves), 1)"),
    ("weights by tiles", K + "conv_backward.c", "b->conv->node))", "1))"),
    ("weights by lists", K + "conv_sparse.c", "SUM_ROWS * s.ci, leaves), node));\n        for",
     "SUM_ROWS * s.ci, leaves), 1));\n        for"),
    ("bias by lists", K + "conv_sparse.c", "SUM_ROWS * s.ci, leaves), node));\n    b->p->db",
     "SUM_ROWS * s.ci, leaves), 1));\n    b->p->db"),
    ("running mean", K + "norm.c", "v_settle(v_fma(momentum, v_sub(*mean, old), old))",
     "v_fma(momentum, v_sub(*mean, old), old)"),
    ("running variance", K + "norm.c", "v_settle(v_fma(momentum, v_sub(unbiased, old), old))",
     "v_fma(momentum, v_sub(unbiased, old), old)"),
    ("scale", K + "norm.c", "v_settle(v_mul(v_load(p->gamma + c), inverse))",
     "v_mul(v_load(p->gamma + c), inverse)"),
    ("outputs before an addition", K + "norm.c", "v_settle(v_fma(d, scale, beta))",
     "v_fma(d, scale, beta)"),
    ("gradients of two readers", K + "norm.c", "v_settle(v_add(g, v_load(p->second + at)))",
     "v_add(g, v_load(p->second + at))"),
    ("dbeta", K + "norm.c", "v_settle(sums.first)", "sums.first"),
    ("dgamma", K + "norm.c", "v_settle(v_mul(v_settle_square(sums.second), inverse))",
     "v_mul(v_settle_square(sums.second), inverse)"),
    ("gradients of normalised inputs", K + "norm.c",
     "v_settle(v_fma(v_load(g + at), scale, v_fma(d, slope, level)))",
     "v_fma(v_load(g + at), scale, v_fma(d, slope, level))"),
    ("two readers of a pool", K + "pool.c", "v_settle(v_add(g, v_load(b->p->second + at)))",
     "v_add(g, v_load(b->p->second + at))"),
    ("gradients of a pool", K + "pool.c", "v_settle(sum)", "sum"),
    ("means", K + "pool.c", "v_settle(v_mul(sum, v_set1(m->shape->inverse)))",
     "v_mul(sum, v_set1(m->shape->inverse))"),
    ("gradients of means", K + "pool.c",
     "v_settle(v_mul(g, v_set1(m->shape->inverse)))", "v_mul(g, v_set1(m->shape->inverse))"),
    ("sums of two rows", K + "elementwise.c", "v_settle(v_add(a, b))", "v_add(a, b)"),
    ("decayed gradients", K + "update.h", "v_settle(v_fma(v_set1(u->decay), w, g))",
     "v_fma(v_set1(u->decay), w, g)"),
    ("Adadelta's step", K + "update_adadelta.c", "v_settle(v_mul(root, g))", "v_mul(root, g)"),
    ("Adadelta's weights", K + "update_adadelta.c",
     "v_settle(v_fma(v_set1(-u[IB_ADADELTA_LR]), step, w))",
     "v_fma(v_set1(-u[IB_ADADELTA_LR]), step, w)"),
    ("momentum", K + "update_sgd.c", "v_settle(v_fma(v_set1(u[IB_SGD_MOMENTUM]), v_load(buffer), g))",
     "v_fma(v_set1(u[IB_SGD_MOMENTUM]), v_load(buffer), g)"),
    ("SGD's weights", K + "update_sgd.c", "v_settle(v_fma(v_set1(-u[IB_SGD_LR]), g, w))",
     "v_fma(v_set1(-u[IB_SGD_LR]), g, w)"),
    ("Adam's mean", K + "update_adam.c",
     "v_settle(v_fma(v_set1(u[IB_ADAM_BETA1_COMPLEMENT]), v_sub(g, m), m))",
     "v_fma(v_set1(u[IB_ADAM_BETA1_COMPLEMENT]), v_sub(g, m), m)"),
    ("Adam's quotient", K + "update_adam.c", "v_settle(v_div(m, root))", "v_div(m, root)"),
    ("Adam's weights", K + "update_adam.c", "v_settle(v_fma(v_set1(-u[IB_ADAM_STEP_SIZE]), ",
     "(v_fma(v_set1(-u[IB_ADAM_STEP_SIZE]), "),
    ("outputs of the reference", R + "reference.h", "relu ? ref_relu(x) : ib_settle(x)",
     "relu ? ref_relu(x) : x"),
    ("gradients of inputs in the reference", R + "reference.h", "ib_settle(gradient)", "gradient"),
    ("gradients of weights in the reference", R + "conv.c", "ref_gradient(c->node,", "ref_gradient(1,"),
    ("gradients of linear weights in the reference", R + "linear.c", "ref_gradient(l->node,",
     "ref_gradient(1,"),
    ("gradients of logits", R + "softmax.c", "ib_settle(g * l->inverse_n)", "g * l->inverse_n"),
    ("exp cut at -27", R + "softmax.c", "x < -27.5f", "x < -27.0f"),
]
for what, path, text, instead in UNSETTLED:
    CHANGES.append((f"not settled: {what}", path, [(text, instead)],
                    "scalar" if path.startswith(R) else "vector", ["ops"]))
CHANGES += [
    ("not settled: differences of logits", R + "softmax.c",
     [("ib_settle(z[j] - top)", "z[j] - top")], "scalar", ["ops watch"]),
    ("not settled: squares of a variance", K + "norm.c",
     [("v_mul(v_settle_square(rests.second), count)", "v_mul(rests.second, count)")], "vector",
     ["ops watch"]),
    ("not settled: first mean", K + "norm.c",
     [("v_settle(v_mul(batch_sums(SUM_X, &k).first, count))",
       "v_mul(batch_sums(SUM_X, &k).first, count)")], "vector", ["ops watch"]),
    ("not settled: rest of the mean", K + "norm.c",
     [("v_settle(v_mul(rests.first, count))", "v_mul(rests.first, count)")], "vector", ["ops watch"]),
    ("not settled: kernel values", K + "svm_functions.h",
     [("vd_select(small, vd_set1(0.0), x)", "x"), ("vdmask small", "__attribute__((unused)) vdmask small")],
     "vector", ["svm", "svm watch"]),
    ("settled at 2^-41, everywhere", K + "simd.h", [("0x1p-40f", "0x1p-41f")], "vector", ["ops"]),
    ("stretches of 1024 positions that begin a pixel late", K + "conv_sparse.c",
     [("offsets[at] < low", "offsets[at] <= low"), ("offsets[stop - 1] >= high", "offsets[stop - 1] > high")],
     "vector", ["ops"]),
]
if os.uname().machine == "x86_64":
    CHANGES.append(("workers that round towards zero", "base/threads.c",
                    [("    ib_fp_enter();\n", "    ib_fp_enter();\n    __builtin_ia32_ldmxcsr(0x7F80u);\n")],
                    "vector", ["ops"]))


def run(arguments, **options):
    return subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, **options)


def build(directory):
    return run(["make", "-s", "-j", JOBS, "-f", f"{ROOT}/tests/numerics/numerics.mk", f"ROOT={ROOT}",
                "SRC=../src", f"CC={CC}", "OPT=-O1"], cwd=f"{directory}/build")


def hash_lines(directory, isa, what):
    """The hash lines of one run; sorted out of its remarks. Empty when it failed."""
    name, *mode = what.split()
    result = run([f"{directory}/build/numerics", name, isa, "2", *mode])
    if result.returncode != 0:
        return set()
    return {line for line in result.stdout.splitlines() if re.fullmatch(r"\S+ [0-9a-f]{64}", line)}


def unit_test_passes(directory, name):
    objects = [f"{directory}/build/no_onnx.o", f"{directory}/build/plain_yaml.o",
               *glob.glob(f"{directory}/build/*/**/*.o", recursive=True)]
    program = f"{directory}/{name}"
    built = run([CC, "-std=c17", "-D_GNU_SOURCE", "-O1", "-ffp-contract=off", "-fno-math-errno",
                 f"-I{directory}/src", f"-I{ROOT}/include", f"{ROOT}/tests/unit/{name}.c", *objects,
                 "-lcmocka", "-pthread", "-lm", "-o", program])
    if built.returncode != 0:
        sys.exit(f"FAILED: {name} does not build:\n{built.stdout}")
    return run([program]).returncode == 0


def notices(directory, isa, check, golden):
    if check.startswith("test_"):
        return not unit_test_passes(directory, check)
    lines = hash_lines(directory, isa, check)
    return not lines or not lines <= golden


def plant(directory, path, replacements):
    """Changes a copy; False when one of the texts is not there."""
    with open(f"{directory}/src/{path}", encoding="utf-8") as stream:
        text = stream.read()
    for old, new in replacements:
        if old not in text:
            return False
        text = text.replace(old, new)
    with open(f"{directory}/src/{path}", "w", encoding="utf-8") as stream:
        stream.write(text)
    return True


def main():
    version = re.search(r'IB_NUMERICS_VERSION "(.*)"',
                        open(f"{ROOT}/src/base/numerics_version.h", encoding="utf-8").read()).group(1)
    with open(f"{ROOT}/tests/golden/numerics-{version}.txt", encoding="utf-8") as stream:
        golden = {line.strip() for line in stream if not line.startswith("#")}
    if shutil.which("make") is None or shutil.which(CC) is None:
        print(f"skipped: there is no make or no {CC}")
        return 77
    shutil.rmtree(WORK, ignore_errors=True)
    base = f"{WORK}/base"
    shutil.copytree(f"{ROOT}/src", f"{base}/src")
    os.makedirs(f"{base}/build")
    built = build(base)
    if built.returncode != 0:
        print(f"FAILED: the untouched copy does not build\n{built.stdout}")
        return 1
    tables = run([f"{base}/build/numerics", "list"]).stdout.split()
    vectors = [isa for isa in ("avx2", "neon", "avx512") if isa in tables]
    best = {"vector": vectors[:1], "both": (vectors or ["scalar"])[:1], "scalar": ["scalar"],
            "scalar-soft": ["scalar-soft"]}
    failures = caught = skipped = 0
    pairs = sorted({(isa, check) for change in CHANGES for isa in best[change[3]] if isa in tables
                    for check in change[4]})
    for isa, check in pairs:
        if notices(base, isa, check, golden):
            print(f"FAILED: {check} on {isa} already differs without a planted change")
            failures += 1
    chosen = range(len(CHANGES)) if WANTED == "all" else random.Random(SEED).sample(
        range(len(CHANGES)), min(int(WANTED), len(CHANGES)))
    print(f"ISOBIT_TEST_SEED={SEED} chooses {len(chosen)} of {len(CHANGES)} changes")
    for number, (what, path, replacements, kind, checks) in enumerate(CHANGES):
        if number not in chosen:
            with open(f"{base}/src/{path}", encoding="utf-8") as stream:
                text = stream.read()
            if not all(old in text for old, _ in replacements):
                print(f"FAILED: {what}: {path} no longer holds a text to change")
                failures += 1
            continue
        isas = [isa for isa in best[kind] if isa in tables]
        if not isas:
            print(f"skipped: {what}: no {kind} kernels here")
            skipped += 1
            continue
        copy = f"{WORK}/{number}"
        shutil.copytree(base, copy)  # keeps times: only what depends on the change is built again
        if not plant(copy, path, replacements):
            print(f"FAILED: {what}: {path} no longer holds a text to change")
            failures += 1
            continue
        built = build(copy)
        if built.returncode != 0:
            print(f"FAILED: {what}: does not build\n{built.stdout[-2000:]}")
            failures += 1
            continue
        blind = [check for check in checks if not notices(copy, isas[0], check, golden)]
        if blind:
            print(f"FAILED: {what}: not noticed by {', '.join(blind)} on {isas[0]}")
            failures += 1
        else:
            caught += 1
        shutil.rmtree(copy)
    print(f"sabotage: {caught} of {len(chosen)} planted changes noticed, {failures} failures, "
          f"{skipped} skipped, {len(pairs)} checks pass untouched")
    return 1 if failures or caught == 0 else 0


sys.exit(main())
