/* A libcuda.so.1 without a GPU, for tests. It reports what the environment says:
   STUB_DRIVER_VERSION=11080, STUB_CAPABILITIES="8.6,9.0" (none: no device), STUB_INIT (a status).
   The symbols below the line are those that MXNet's CUDA wheel binds when it is loaded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value ? value : otherwise;
}

static int count(void) {
    const char *text = setting("STUB_CAPABILITIES", "");
    int devices = *text ? 1 : 0;
    for (; *text; text++) devices += *text == ',';
    return devices;
}

int cuInit(unsigned flags) {
    int status = atoi(setting("STUB_INIT", "0"));
    return status ? status : count() ? 0 : 100;
}

int cuDriverGetVersion(int *version) {
    *version = atoi(setting("STUB_DRIVER_VERSION", "11080"));
    return 0;
}

int cuDeviceGetCount(int *devices) { *devices = count(); return 0; }

/* Handles are not the ordinals, so that a caller who mixes them up is found out. */
int cuDeviceGet(int *handle, int ordinal) {
    if (ordinal >= count()) return 101;
    *handle = ordinal + 1000;
    return 0;
}

int cuDeviceGetName(char *name, int length, int handle) {
    if (handle < 1000) return 101;
    snprintf(name, length, "Stub %d", handle - 1000);
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int handle) {
    int major = 0, minor = 0, skipped = handle - 1000;
    const char *text = setting("STUB_CAPABILITIES", "");
    if (skipped < 0) return 101;
    for (; skipped; skipped--) text = strchr(text, ',') + 1;
    sscanf(text, "%d.%d", &major, &minor);
    if (attribute != 75 && attribute != 76) return 1;
    *value = attribute == 75 ? major : minor;
    return 0;
}

/* ---- */

int cuGetErrorString(int status, const char **text) { *text = "stub"; return 0; }
int cuDevicePrimaryCtxRetain(void) { return 100; }
int cuGraphKernelNodeGetParams(void) { return 100; }
int cuGraphNodeGetType(void) { return 100; }
int cuLaunchKernel(void) { return 100; }
int cuModuleGetFunction(void) { return 100; }
int cuModuleLoadData(void) { return 100; }
int cuModuleLoadDataEx(void) { return 100; }
int cuModuleUnload(void) { return 100; }
