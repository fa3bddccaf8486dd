/* Lines that a firmware under emulation writes, each a letter and its fields. */
#ifndef LIMEN_REPORT_H
#define LIMEN_REPORT_H

#include <stdint.h>

/* A line is collected and written when it ends. */
void report_text(const char *text);
void report_number(int64_t number);
void report_hex(const void *bytes, uint32_t count);
void report_line(void);

#endif
