# Which sources are of the public library (the engine) and which of the program alone. The engine
# needs neither network, zlib nor readers of images, prints nothing and reads no environment.
# Sets ISOBIT_ENGINE_SOURCES and ISOBIT_EXTRA_SOURCES.

# One folder, one rank (ARCHITECTURE.md); tests/system/check_ranks.py keeps the order. A backend is a
# folder of src/backend; what a kind of thing has one file each of is a folder too.
file(GLOB ISOBIT_ENGINE_SOURCES CONFIGURE_DEPENDS
     src/base/*.c src/catalog/*.c src/catalog/*/*.c src/tensor/*.c src/options/*.c src/data/*.c
     src/backend/*.c src/backend/*/*.c src/nn/*.c src/nn/layers/*.c src/model/*.c src/train/*.c
     src/api/*.c)
file(GLOB ISOBIT_EXTRA_SOURCES CONFIGURE_DEPENDS
     src/data/import/*.c src/svm/*.c src/monitor/*.c src/record/*.c src/study/*.c src/mlflow/*.c src/report/*.c)

# From folders of the engine, what only the program needs: getting data sets, texts for people and shells.
set(extra_files data/fetch data/gunzip data/prepare data/verify data/digits_draw
    data/digits_outlines options/completion options/help)
# And the other way: a model's record says what it was trained on.
set(engine_files record/record_file record/run record/recorded record/seal)

list(TRANSFORM extra_files REPLACE "(.+)" "${CMAKE_SOURCE_DIR}/src/\\1.c")
list(TRANSFORM engine_files REPLACE "(.+)" "${CMAKE_SOURCE_DIR}/src/\\1.c")
list(REMOVE_ITEM ISOBIT_ENGINE_SOURCES ${extra_files})
list(REMOVE_ITEM ISOBIT_EXTRA_SOURCES ${engine_files})
list(APPEND ISOBIT_ENGINE_SOURCES ${engine_files})
list(APPEND ISOBIT_EXTRA_SOURCES ${extra_files})
