/* What is pinned about each data set. The hash of the uncompressed content is the truth: mirrors
 * may compress it as they like. */
#include "catalog/datasets.h"

#include <string.h>

static const char *const MNIST_MIRRORS[] = {
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    NULL,
};

static const char *const FASHION_MNIST_MIRRORS[] = {
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", /* it serves no https */
    NULL,
};

static const char *const FASHION_MNIST_CLASSES[] = {
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot",
};

static const ib_dataset_info CATALOG[] = {
    {
        .name = "mnist",
        .image = {.channels = 1, .height = 28, .width = 28},
        .classes = 10,
        .train_count = 60000,
        .test_count = 10000,
        .sha256 = {"ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                   "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                   "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                   "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"},
        .mirrors = MNIST_MIRRORS,
        .mean = 0.1307,
        .standard_deviation = 0.3081,
    },
    {
        .name = "fashion-mnist",
        .image = {.channels = 1, .height = 28, .width = 28},
        .classes = 10,
        .class_names = FASHION_MNIST_CLASSES,
        .train_count = 60000,
        .test_count = 10000,
        .sha256 = {"c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                   "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                   "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                   "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"},
        .mirrors = FASHION_MNIST_MIRRORS,
        .mean = 0.2860,
        .standard_deviation = 0.3530,
    },
    {
        .name = "digits",
        .image = {.channels = 1, .height = 28, .width = 28},
        .classes = 10,
        .train_count = 60000,
        .test_count = 10000,
        .sha256 = {"81988bd484bc42f9f1e1c49f288dc3a26cea6d5f1878a5602afd3ece69709f1e",
                   "b643a3b990157b588b491a685991276faf3c78fe7adc06222d6b6f203b2110eb",
                   "c70fbc90acceb198058efebbe77e15c02dd2470b760fe594a9b73786fe207cc1",
                   "d353f6b198fb82b9942f9c9c3f6151e952421af7a72e1477e8fef5c9f7459e6f"},
        .mirrors = NULL, /* drawn by digits_draw.c */
        .mean = 0.1198,
        .standard_deviation = 0.2610,
    },
};

static const char *const FILE_NAMES[IB_FILE_ROLES] = {
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
};

const ib_dataset_info *ib_dataset_at(size_t index) {
    return index < sizeof CATALOG / sizeof CATALOG[0] ? &CATALOG[index] : NULL;
}

const ib_dataset_info *ib_dataset_find(const char *name) {
    const ib_dataset_info *info;
    for (size_t i = 0; (info = ib_dataset_at(i)) != NULL; ++i)
        if (strcmp(info->name, name) == 0)
            return info;
    return NULL;
}

const char *ib_dataset_file_name(const ib_dataset_info *info, ib_file_role role) {
    return info->files[role] != NULL ? info->files[role] : FILE_NAMES[role];
}

int ib_is_image_role(ib_file_role role) {
    return role == IB_TRAIN_IMAGES || role == IB_TEST_IMAGES;
}

unsigned ib_dataset_label_bytes(const ib_dataset_info *info) {
    return info->first_label + info->classes > 256 ? 2 : 1;
}

size_t ib_image_bytes(ib_image_shape image) {
    return (size_t)image.channels * image.height * image.width;
}

uint64_t ib_dataset_file_bytes(const ib_dataset_info *info, ib_file_role role) {
    /* magic number and count; height and width; channels where there are several */
    enum { LABEL_HEADER = 8, IMAGE_HEADER = 16, CHANNELS_HEADER = 20 };
    uint64_t count = role < IB_TEST_IMAGES ? info->train_count : info->test_count;
    if (!ib_is_image_role(role))
        return LABEL_HEADER + count * ib_dataset_label_bytes(info);
    return (info->image.channels > 1 ? CHANNELS_HEADER : IMAGE_HEADER) +
           count * ib_image_bytes(info->image);
}
