"""What every text for Cython begins with: the clock, histograms, calls and members in C."""

from __future__ import annotations

from typing import Final

SUPPORT: Final = '''
from cpython.exc cimport PyErr_ExceptionMatches, PyErr_Fetch, PyErr_NormalizeException
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject, Py_XDECREF
from libc.limits cimport LLONG_MAX
from libc.string cimport memset

cdef extern from *:
    """
    #include <structmember.h>
    #include <time.h>

    /* The clock that Python calls monotonic. */
    static inline long long machine_ns(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
    }

    /* Buckets, overflow, least, most: as limen.telemetry.Histogram sorts durations. */
    static inline void record(long long *row, long long value) {
        long long place;
        int shift;
        if (value < 0) value = 0;
        if (value < row[BUCKETS + 1]) row[BUCKETS + 1] = value;
        if (value > row[BUCKETS + 2]) row[BUCKETS + 2] = value;
        shift = value < 64 ? 0 : 58 - __builtin_clzll((unsigned long long)value);
        place = ((long long)shift << 5) + (value >> shift);
        row[place < BUCKETS ? place : BUCKETS] += 1;
    }

    /* Members of structs that msgspec made: where one lies, what is there, what is put there. */
    static inline Py_ssize_t place_of(PyObject *kind, const char *name) {
        Py_ssize_t place = -1;
        PyObject *found = PyObject_GetAttrString(kind, name);
        if (found == NULL) return -1;
        if (Py_TYPE(found) == &PyMemberDescr_Type
            && ((PyMemberDescrObject *)found)->d_member->type == T_OBJECT_EX)
            place = ((PyMemberDescrObject *)found)->d_member->offset;
        Py_DECREF(found);
        return place;
    }

    static inline PyObject *member(PyObject *whole, Py_ssize_t place) {
        return *(PyObject **)((char *)whole + place);
    }

    static inline void put(PyObject *whole, Py_ssize_t place, PyObject *value) {
        PyObject **cell = (PyObject **)((char *)whole + place);
        PyObject *old = *cell;
        Py_INCREF(value);
        *cell = value;
        Py_XDECREF(old);
    }

    static inline int put_number(PyObject *whole, Py_ssize_t place, long long number) {
        PyObject **cell = (PyObject **)((char *)whole + place);
        PyObject *old = *cell, *value = PyLong_FromLongLong(number);
        if (value == NULL) return -1;
        *cell = value;
        Py_XDECREF(old);
        return 0;
    }

    /* Whether nobody but the caller holds an object, so that it can be used again. */
    static inline int is_alone(PyObject *object) {
    #ifdef Py_GIL_DISABLED
        return 0;
    #else
        return Py_REFCNT(object) == 1;
    #endif
    }

    /* Whether a header says nothing but what every header of this graph's sources says. */
    static inline int is_usual(
        PyObject *head, PyObject *whole, const Py_ssize_t *at, PyObject *usual) {
        Py_ssize_t i;
        if ((PyObject *)Py_TYPE(head) != whole) return 0;
        for (i = 0; i < PyTuple_GET_SIZE(usual); i++)
            if (member(head, at[5 + i]) != PyTuple_GET_ITEM(usual, i)) return 0;
        return 1;
    }

    /* A whole number from 0 on that more can be added to; -1 for anything else. */
    static inline long long whole_number(PyObject *number) {
        long long value;
        if (!PyLong_CheckExact(number)) return -1;
        value = PyLong_AsLongLong(number);
        if (value < 0) PyErr_Clear();
        return value < 0 || value >> 62 ? -1 : value;
    }

    /* Whether a source stated no more than a payload and when it was made. */
    static inline int is_plain(
        PyObject *made, PyObject *whole, const Py_ssize_t *at, PyObject *qos) {
        return (PyObject *)Py_TYPE(made) == whole && member(made, at[0]) != NULL
            && (member(made, at[1]) == Py_None || whole_number(member(made, at[1])) >= 0)
            && member(made, at[2]) == Py_None
            && member(made, at[3]) == Py_None && member(made, at[4]) == qos
            && member(made, at[5]) == Py_False;
    }
    """
    long long machine_ns() noexcept nogil
    Py_ssize_t place_of(PyObject *kind, const char *name) noexcept
    PyObject *member(PyObject *whole, Py_ssize_t place) noexcept
    void put(PyObject *whole, Py_ssize_t place, PyObject *value) noexcept
    int put_number(PyObject *whole, Py_ssize_t place, long long number) except -1
    int is_alone(PyObject *object) noexcept
    int is_usual(
        PyObject *head, PyObject *whole, const Py_ssize_t *at, PyObject *usual) noexcept
    long long whole_number(PyObject *number) noexcept
    int is_plain(
        PyObject *made, PyObject *whole, const Py_ssize_t *at, PyObject *qos) noexcept
    void record(long long *row, long long value) noexcept nogil
    PyObject *call_one "PyObject_CallOneArg"(PyObject *function, PyObject *argument) noexcept
    PyObject *call_many "PyObject_Vectorcall"(
        PyObject *function, PyObject **arguments, size_t count, PyObject *names) noexcept
    Py_ssize_t size_of "PyList_GET_SIZE"(list items) noexcept


cdef object caught():
    """Take over what a call raised; what is no Exception goes on being raised."""
    cdef PyObject *kind = NULL
    cdef PyObject *error = NULL
    cdef PyObject *trace = NULL
    if not PyErr_ExceptionMatches(Exception):
        return None
    PyErr_Fetch(&kind, &error, &trace)
    PyErr_NormalizeException(&kind, &error, &trace)
    found = <object>error
    if trace is not NULL:
        found = found.with_traceback(<object>trace)
    Py_XDECREF(kind)
    Py_XDECREF(error)
    Py_XDECREF(trace)
    return found


cdef inline object made(PyObject *result):
    """Own what a call made, or raise what it raised."""
    if result is NULL:
        again()
    found = <object>result
    Py_DECREF(found)
    return found


cdef int again() except -1:
    """Go on raising."""
    return -1


cdef Py_ssize_t place_in(object kind, bytes name) except -1:
    """Say where a member of a struct lies."""
    cdef Py_ssize_t place = place_of(<PyObject *>kind, name)
    if place < 0:
        raise TypeError(f"{kind.__qualname__}.{name.decode()} is no plain member")
    return place


cdef inline void clear(long long *row) noexcept:
    memset(row, 0, sizeof(long long) * (BUCKETS + 3))
    row[BUCKETS + 1] = LLONG_MAX
'''.strip("\n")
