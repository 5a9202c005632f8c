# GCC for Arm chips without an operating system.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
# There is nothing to link a program of CMake's checks with.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
