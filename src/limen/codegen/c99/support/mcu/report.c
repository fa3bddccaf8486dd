#include "report.h"

#include "semihost.h"

static char report_buffer[256];
static uint32_t report_used;

static void report_flush(void)
{
    report_buffer[report_used] = '\0';
    report_used = 0;
    semihost_write(report_buffer);
}

static void report_char(char character)
{
    if (report_used == sizeof report_buffer - 1u) {
        report_flush();
    }
    report_buffer[report_used++] = character;
}

void report_text(const char *text)
{
    while (*text != '\0') {
        report_char(*text++);
    }
}

void report_number(int64_t number)
{
    char digits[20];
    uint32_t count = 0;
    uint64_t rest = number < 0 ? 0u - (uint64_t)number : (uint64_t)number;
    do {
        digits[count++] = (char)('0' + (char)(rest % 10u));
        rest /= 10u;
    } while (rest != 0u);
    if (number < 0) {
        report_char('-');
    }
    while (count != 0u) {
        report_char(digits[--count]);
    }
}

void report_hex(const void *bytes, uint32_t count)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *next = (const uint8_t *)bytes;
    for (uint32_t i = 0; i < count; i++) {
        report_char(digits[next[i] >> 4]);
        report_char(digits[next[i] & 15u]);
    }
}

void report_line(void)
{
    report_char('\n');
    report_flush();
}
