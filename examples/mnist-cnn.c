/* Trains the CNN of the PyTorch MNIST example, evaluates it, saves it and predicts with it. Ctrl-C
 * stops after the step that goes on.
 *
 *     cc mnist-cnn.c $(pkg-config --cflags --libs isobit) -o mnist-cnn
 *     isobit data prepare --dataset mnist
 *     ./mnist-cnn data mnist epochs=1
 */
#include <signal.h>
#include <stdio.h>

#include <isobit/isobit.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    interrupted = number;
}

/* Not 0 ends the training. */
static int progress(void *context, const ib_event *event) {
    (void)context;
    if (event->kind == IB_EVENT_EPOCH)
        printf("epoch %zu of %zu: test accuracy %.2f %%\n", event->epoch, event->epochs,
               100 * event->test->accuracy);
    else if (event->step_in_epoch % 100 == 1)
        printf("step %zu of %zu: loss %.6f\n", event->step_in_epoch, event->steps_per_epoch,
               event->loss);
    return interrupted != 0;
}

static int run(ib_net *net, const ib_data *data) {
    ib_result test;
    uint16_t digit;
    char sha256[IB_SHA256_TEXT];
    ib_status status = ib_net_train(net, progress, NULL);
    if (status == IB_OK)
        status = ib_net_evaluate(net, IB_TEST_SET, &test, NULL);
    if (status == IB_OK)
        status = ib_net_save(net, "mnist-cnn.safetensors", sha256);
    if (status == IB_OK)
        status = ib_net_predict(net, ib_data_pixels(data, 0), 1, &digit, NULL);
    if (status != IB_OK) {
        fprintf(stderr, "mnist-cnn: %s\n", ib_net_error(net));
        return status;
    }
    printf("%zu of %zu test images, loss %.6f\n", test.correct, test.count, test.loss);
    printf("training image 0 is taken for %u, and is %u\n", digit, ib_data_label(data, 0));
    printf("model_sha256 %s\n", sha256);
    return 0;
}

int main(int argc, char **argv) {
    const char *directory = argc > 1 ? argv[1] : "data", *name = argc > 2 ? argv[2] : "mnist";
    const char *const *options = (const char *const *)(argc > 3 ? argv + 3 : NULL);
    ib_device *device = NULL;
    ib_data *data = NULL;
    ib_net *net = NULL;
    char why[512];
    signal(SIGINT, on_signal);
    ib_status status = ib_device_open(NULL, &device, why, sizeof why);
    if (status == IB_OK)
        status = ib_data_open(directory, name, &data, why, sizeof why);
    if (status == IB_OK)
        status = ib_net_open(device, data, &(ib_net_options){.network = "cnn", .options = options},
                             &net, why, sizeof why);
    if (status != IB_OK)
        fprintf(stderr, "mnist-cnn: %s\n", why);
    else
        status = run(net, data);
    ib_net_close(net);
    ib_data_close(data);
    ib_device_close(device);
    return status;
}
