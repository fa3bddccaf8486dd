/* What a program under a debugger or an emulator asks of the machine that runs it. */
#ifndef LIMEN_SEMIHOST_H
#define LIMEN_SEMIHOST_H

/* Write text to the emulator's console. */
void semihost_write(const char *text);

/* End the emulation; the code is the exit code of the emulator. */
void semihost_exit(int code);

#endif
