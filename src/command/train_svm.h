/* Training and testing support vector machines: what run_train.c and run_test.c do for networks. */
#ifndef IB_COMMAND_TRAIN_SVM_H
#define IB_COMMAND_TRAIN_SVM_H

#include "command/session.h"
#include "command/train_run.h"
#include "svm/svm.h"
#include "train/trainer.h"

ib_status ib_run_train_svm(const ib_config *config, const ib_command_context *context,
                           const ib_train_target *target, ib_error *err);

/* Whether a model file is a support vector machine: ours, or a text file of LIBSVM. */
typedef enum ib_svm_file_kind { IB_NO_SVM, IB_SVM_SAFETENSORS, IB_SVM_LIBSVM } ib_svm_file_kind;
ib_status ib_svm_file_kind_of(const ib_contents *contents, ib_svm_file_kind *kind, ib_error *err);

/* Evaluates a file that was read, whose text may be cut up, on the session's test images; loss is
 * left 0. */
ib_status ib_svm_test_file(ib_contents *contents, ib_svm_file_kind kind, const ib_config *config,
                           ib_session *session, ib_evaluation *test, size_t *vectors,
                           ib_error *err);
/* Reads a support vector machine with what it needs beside itself: the table, which is the
 * session's, where it was trained with one. The caller calls ib_svm_model_close. */
ib_status ib_svm_open_file(const ib_contents *contents, ib_session *session, ib_svm_model *model,
                           ib_error *err);

#endif
