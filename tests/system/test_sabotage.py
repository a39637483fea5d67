"""The comparisons must be able to fail: copies of the numerics with one planted change each.

Each copy is built by numerics/numerics.mk and run; at least one of its hashes must differ from the
golden file (or the named unit test must fail). The untouched copy must pass everything first.

Not listed, because they change no bit by definition: how work is cut into items (BAND_CELLS,
INPUTS_PER_ITEM, FLOATS_PER_ITEM, the groups of conv_sparse.c), tile shapes, swapping the two operands
of an addition or product, ReLU as maximum of finite values, visiting a term with a zero factor, the +0
at the end of chains that a ReLU follows (conv_pairs.c).

environment: SOURCE_DIR, BUILD_DIR
"""
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.environ["SOURCE_DIR"]
WORK = os.path.join(os.environ["BUILD_DIR"], "sabotage")
JOBS = str(min(4, os.cpu_count() or 1))
CC = "gcc"

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
    ("one dropped fma, in the update of Adadelta", "backend/cpu/kernels/update.c",
     [("return v_fma(v_set1(-u->lr), step, w);", "return v_add(v_mul(v_set1(-u->lr), step), w);")],
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
    ("missing +0 after the leaf tree", "backend/cpu/kernels/leaf_sum.h",
     [("return v_add(total, v_zero());", "return total;")], "vector", ["ops"]),
    ("missing +0 before the bias of a convolution", "backend/cpu/kernels/conv_forward.c",
     [("v_add(v_add(v_load(out + i * TILE_STRIDE + j), v_zero()), b)",
       "v_add(v_load(out + i * TILE_STRIDE + j), b)")], "vector", ["ops"]),
    ("missing +0 at the end of a convolution's segments", "backend/cpu/kernels/conv_batched.c",
     [("vf sum = v_add(acc[i][j], v_zero());", "vf sum = acc[i][j];")], "vector", ["ops"]),
    ("missing +0 before the bias of a linear layer", "backend/cpu/kernels/linear_forward.c",
     [("sum = v_add(v_add(sum, v_zero()), v_load(l->p->b + j));",
       "sum = v_add(sum, v_load(l->p->b + j));")], "vector", ["ops"]),
    ("missing +0 in the gradient of a convolution's input", "backend/cpu/kernels/conv_backward.c",
     [("vf g = v_add(v_load(out + i * TILE_STRIDE + j), v_zero());",
       "vf g = v_load(out + i * TILE_STRIDE + j);")], "vector", ["ops"]),
    ("missing +0 in the gradient of a linear layer's input",
     "backend/cpu/kernels/linear_backward.c",
     [("total[r][v] = v_zero();", "total[r][v] = v_set1(-0.0f);")], "vector", ["ops"]),
    ("missing +0 in the gradient of a linear layer's weights",
     "backend/cpu/kernels/linear_backward.c",
     [("v_add(v_load(tile + i), v_zero())", "v_load(tile + i)")], "vector", ["ops"]),
    ("windows that repeat in their first row only", "backend/cpu/kernels/conv_forward.c",
     [("column &= rows[top + ky];", "column &= rows[top];")], "vector", ["ops"]),
    ("the list of a pair without its right pixel", "backend/cpu/kernels/conv_pairs.c",
     [("v_or(left, right)", "left")], "vector", ["ops"]),
    ("pairs over the end of a row", "backend/cpu/kernels/conv_pairs.c",
     [("int at_end = pixels[i] % s->ow == s->ow - 1;", "int at_end = 0;")], "vector", ["ops"]),
    ("pairs for more than one segment", "backend/cpu/kernels/conv_pairs.c",
     [("s->k <= IB_SEGMENT", "s->k <= 2 * IB_SEGMENT")], "vector", ["ops"]),
    ("missing +0 in the gradient by lists", "backend/cpu/kernels/conv_sparse.c",
     [("v_mul(v_add(v_load(dx + i), v_zero()), scale)", "v_mul(v_load(dx + i), scale)")],
     "vector", ["ops"]),
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
    ("state set to zero below 2^-101", "backend/cpu/kernels/update.c",
     [("v_set1(0x1p-100f)", "v_set1(0x1p-101f)")], "vector", ["ops"]),
    ("one product of the update regrouped", "backend/cpu/kernels/update.c",
     [("v_mul(v_mul(g, g), rest)", "v_mul(g, v_mul(g, rest))")], "vector", ["ops", "cnn:9"]),
    ("a mean by its first pass alone", "backend/cpu/kernels/norm.c",
     [("*mean = v_add(k.mean, rest);", "*mean = k.mean;")], "vector", ["ops"]),
    ("samples of a leaf summed from the second on", "backend/cpu/kernels/norm.c",
     [("struct sums sum = sample[0];", "struct sums sum = sample[count - 1];"),
      ("for (int64_t i = 1; i < count; ++i)", "for (int64_t i = 0; i < count - 1; ++i)")],
     "vector", ["ops"]),
    ("a biased running variance in the reference", "backend/cpu/ref/norm.c",
     [("variance * norm->unbiased", "variance")], "scalar", ["ops"]),
    ("gradients masked that have two readers", "backend/cpu/kernels/conv_batched.c",
     [("conv->mask_input ? p->x : NULL", "p->x")], "vector", ["ops"]),
    ("ties of the overlapping pool to the last", "backend/cpu/kernels/pool.c",
     [("v_gt(value, best)", "v_gt(v_add(value, v_set1(0x1p-149f)), best)")], "vector", ["ops"]),
    ("windows of the overlapping pool backwards", "backend/cpu/ref/pool.c",
     [("for (int64_t oy = row / 2; oy <= (row + 1) / 2 && oy < oh; ++oy)",
       "for (int64_t oy = (row + 1) / 2 < oh ? (row + 1) / 2 : oh - 1; oy >= row / 2; --oy)")],
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
     [("(float)(((double)v / 255.0 - mean) / deviation)",
       "(float)(((double)v * (1.0 / 255.0) - mean) * (1.0 / deviation)) + (v == 7) * 0x1p-24f")],
     "both", ["mlp-sgd:9"]),
    ("mean loss and gradients by a truncated 1/n", "nn/network.c",
     [("(float)(1.0 / (double)count)", "(float)(0.99999997 / (double)count)")], "both",
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
     [("(sums->of[a][b - 1][c] + sums->of[b][a][c]) - model->pairs[pair].rho",
       "(sums->of[a][b - 1][c] - model->pairs[pair].rho) + sums->of[b][a][c]")], "both", ["svm"]),
]
if os.uname().machine == "x86_64":
    CHANGES.append(("workers that flush denormals to zero", "base/threads.c",
                    [("    ib_fp_enter();\n", "    ib_fp_enter();\n    __builtin_ia32_ldmxcsr(0x9FC0u);\n")],
                    "vector", ["ops"]))


def run(arguments, **options):
    return subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, **options)


def build(directory):
    return run(["make", "-s", "-j", JOBS, "-f", f"{ROOT}/tests/numerics/numerics.mk", f"ROOT={ROOT}",
                "SRC=../src", f"CC={CC}", "OPT=-O1"], cwd=f"{directory}/build")


def hash_lines(directory, isa, what):
    """The hash lines of one run; sorted out of its remarks. Empty when it failed."""
    result = run([f"{directory}/build/numerics", what, isa, "2"])
    return {line for line in result.stdout.splitlines() if re.fullmatch(r"\S+ [0-9a-f]{64}", line)}


def unit_test_passes(directory, name):
    objects = glob.glob(f"{directory}/build/*/**/*.o", recursive=True)
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
    """Changes a copy; False when none of the texts is there."""
    with open(f"{directory}/src/{path}", encoding="utf-8") as stream:
        text = stream.read()
    changed = text
    for old, new in replacements:
        changed = changed.replace(old, new)
    with open(f"{directory}/src/{path}", "w", encoding="utf-8") as stream:
        stream.write(changed)
    return changed != text


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
    for number, (what, path, replacements, kind, checks) in enumerate(CHANGES):
        isas = [isa for isa in best[kind] if isa in tables]
        if not isas:
            print(f"skipped: {what}: no {kind} kernels here")
            skipped += 1
            continue
        copy = f"{WORK}/{number}"
        shutil.copytree(base, copy)  # keeps times: only what depends on the change is built again
        if not plant(copy, path, replacements):
            print(f"FAILED: {what}: {path} no longer holds the text to change")
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
    print(f"sabotage: {caught} of {len(CHANGES)} planted changes noticed, {failures} failures, "
          f"{skipped} skipped, {len(pairs)} checks pass untouched")
    return 1 if failures or caught == 0 else 0


sys.exit(main())
