/* What the Python benchmark does in C: the check of every message, and minimal framing for the floors.
 *
 * The check costs some 30 ns a message, the same for every contender. The framing judges no rule and fragments nothing. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* ---- Checker: is message i what it has to be? ---- */

typedef struct {
    const unsigned char *bytes;
    Py_ssize_t len;
    uint64_t first, last;
    PyObject *text; /* the same as str, where messages are text */
} Expected;

typedef struct {
    PyObject_HEAD
    PyObject *payloads;
    Expected *expected;
    Py_ssize_t different, at;
    uint64_t messages, count, total, sum;
    int text, whole;
} Checker;

static uint64_t rotated(uint64_t value, int by) { return value << by | value >> (64 - by); }

static int checker_init(Checker *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"payloads", "count", "text", "whole", NULL};
    unsigned long long count;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!Kpp", names, &PyList_Type, &self->payloads, &count, &self->text,
                                     &self->whole)) {
        self->payloads = NULL;
        return -1;
    }
    Py_INCREF(self->payloads);
    self->count = count;
    Py_ssize_t different = PyList_GET_SIZE(self->payloads);
    if (different == 0) {
        PyErr_SetString(PyExc_ValueError, "no payloads");
        return -1;
    }
    self->expected = PyMem_Calloc(different, sizeof(Expected));
    if (self->expected == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->different = different;
    for (Py_ssize_t i = 0; i < different; i++) {
        Expected *one = &self->expected[i];
        if (PyBytes_AsStringAndSize(PyList_GET_ITEM(self->payloads, i), (char **)&one->bytes, &one->len) < 0)
            return -1;
        if (one->len < 8) {
            PyErr_SetString(PyExc_ValueError, "a payload has at least eight bytes");
            return -1;
        }
        memcpy(&one->first, one->bytes, 8);
        memcpy(&one->last, one->bytes + one->len - 8, 8);
        if (self->text && !(one->text = PyUnicode_DecodeUTF8((const char *)one->bytes, one->len, "strict")))
            return -1;
    }
    return 0;
}

static void checker_dealloc(Checker *self)
{
    PyTypeObject *type = Py_TYPE(self);
    for (Py_ssize_t i = 0; i < self->different; i++)
        Py_XDECREF(self->expected[i].text);
    PyMem_Free(self->expected);
    Py_XDECREF(self->payloads);
    type->tp_free(self);
    Py_DECREF(type);
}

static int wrong(Checker *self)
{
    PyErr_Format(PyExc_ValueError, "message %llu is not what was sent", (unsigned long long)self->messages);
    return -1;
}

/* Counts the message that was compared, and adds it to the sum as the server does. */
static int right(Checker *self, const Expected *one)
{
    if (self->messages == self->count) {
        PyErr_SetString(PyExc_ValueError, "more messages than were sent");
        return -1;
    }
    self->messages++;
    self->total += one->len;
    self->sum = (rotated(self->sum, 5) ^ one->first) + rotated(one->last, 17) + (uint64_t)one->len * 2 + self->text;
    self->at = self->at + 1 == self->different ? 0 : self->at + 1;
    return 0;
}

/* Both ends and the length, or every byte. */
static int check_bytes(Checker *self, const void *bytes, Py_ssize_t len)
{
    const Expected *one = &self->expected[self->at];
    if (len != one->len || memcmp(bytes, one->bytes, 8) || memcmp((const char *)bytes + len - 8, &one->last, 8) ||
        (self->whole && memcmp(bytes, one->bytes, len)))
        return wrong(self);
    return right(self, one);
}

/* The same in the units that the str is made of. */
static int check_text(Checker *self, PyObject *text)
{
    const Expected *one = &self->expected[self->at];
    Py_ssize_t len = PyUnicode_GET_LENGTH(text);
    size_t unit = PyUnicode_KIND(text);
    if (!self->text || len != PyUnicode_GET_LENGTH(one->text) || unit != (size_t)PyUnicode_KIND(one->text))
        return wrong(self);
    const char *got = PyUnicode_DATA(text), *wanted = PyUnicode_DATA(one->text);
    size_t ends = (len < 8 ? len : 8) * unit, size = len * unit;
    if (memcmp(got, wanted, ends) || memcmp(got + size - ends, wanted + size - ends, ends) ||
        (self->whole && memcmp(got, wanted, size)))
        return wrong(self);
    return right(self, one);
}

static int check(Checker *self, PyObject *message)
{
    if (PyUnicode_Check(message))
        return check_text(self, message);
    if (self->text)
        return wrong(self);
    if (PyBytes_Check(message))
        return check_bytes(self, PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message));
    Py_buffer view;
    if (PyObject_GetBuffer(message, &view, PyBUF_SIMPLE) < 0)
        return -1;
    int result = check_bytes(self, view.buf, view.len);
    PyBuffer_Release(&view);
    return result;
}

static PyObject *checker_see(Checker *self, PyObject *message)
{
    if (check(self, message) < 0)
        return NULL;
    return PyBool_FromLong(self->messages == self->count);
}

static PyObject *checker_see_all(Checker *self, PyObject *messages)
{
    PyObject *list = PySequence_Fast(messages, "a list of messages is wanted");
    if (list == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); i++) {
        if (check(self, PySequence_Fast_GET_ITEM(list, i)) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    Py_DECREF(list);
    return PyBool_FromLong(self->messages == self->count);
}

static PyObject *checker_line(Checker *self, PyObject *Py_UNUSED(unused))
{
    char line[80];
    snprintf(line, sizeof line, "%llu %llu %016llx", (unsigned long long)self->messages, (unsigned long long)self->total,
             (unsigned long long)self->sum);
    return PyUnicode_FromString(line);
}

static PyMethodDef checker_methods[] = {
    {"see", (PyCFunction)checker_see, METH_O, "Compares the next message; whether it was the last."},
    {"see_all", (PyCFunction)checker_see_all, METH_O, "The same for a list."},
    {"line", (PyCFunction)checker_line, METH_NOARGS, "Messages, bytes and checksum, as the server says them."},
    {NULL},
};

static PyType_Slot checker_slots[] = {
    {Py_tp_doc, "Checker(payloads, count, text, whole): message i has to be payload i modulo their number."},
    {Py_tp_init, checker_init},
    {Py_tp_dealloc, checker_dealloc},
    {Py_tp_methods, checker_methods},
    {0, NULL},
};

static PyType_Spec checker_spec = {"native.Checker", sizeof(Checker), 0, Py_TPFLAGS_DEFAULT, checker_slots};
static PyTypeObject *checker_type;

/* ---- Cutter: a read buffer whose frames are cut ---- */

typedef struct {
    PyObject_HEAD
    Checker *checker;
    unsigned char *bytes;
    Py_ssize_t capacity, end;
} Cutter;

static int cutter_init(Cutter *self, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    if (!PyArg_ParseTuple(args, "O!n", checker_type, &self->checker, &self->capacity)) {
        self->checker = NULL;
        return -1;
    }
    Py_INCREF(self->checker);
    self->bytes = PyMem_Malloc(self->capacity);
    if (self->bytes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static void cutter_dealloc(Cutter *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyMem_Free(self->bytes);
    Py_XDECREF(self->checker);
    type->tp_free(self);
    Py_DECREF(type);
}

/* The free part is what is lent: an event loop reads into the Cutter itself. */
static int cutter_buffer(Cutter *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, self->bytes + self->end, self->capacity - self->end, 0, flags);
}

static Py_ssize_t cutter_len(Cutter *self) { return self->capacity - self->end; }

/* What becomes of a frame. */
typedef int (*Take)(Cutter *self, int text, const unsigned char *payload, Py_ssize_t len, PyObject *to);

/* Takes `more` bytes, gives every whole frame to `take`; the number of frames, or -1. */
static Py_ssize_t cut_bytes(Cutter *self, Py_ssize_t more, Take take, PyObject *to)
{
    Py_ssize_t at = 0, frames = 0;
    self->end += more;
    while (self->end - at >= 2) {
        const unsigned char *head = self->bytes + at;
        Py_ssize_t len = head[1], skip = 2;
        if (len == 126) {
            skip = 4;
            if (self->end - at < skip)
                break;
            len = (Py_ssize_t)head[2] << 8 | head[3];
        } else if (len == 127) {
            uint64_t wide;
            skip = 10;
            if (self->end - at < skip)
                break;
            memcpy(&wide, head + 2, 8);
            len = (Py_ssize_t)__builtin_bswap64(wide);
        }
        if (self->end - at - skip < len)
            break;
        /* What is compressed is no text yet. */
        if (take(self, (head[0] & 0x4f) == 1, head + skip, len, to) < 0)
            return -1;
        at += skip + len;
        frames++;
    }
    self->end -= at;
    memmove(self->bytes, self->bytes + at, self->end);
    return frames;
}

/* The same for what Python counted. */
static Py_ssize_t cut(Cutter *self, PyObject *n, Take take, PyObject *to)
{
    Py_ssize_t more = PyLong_AsSsize_t(n);
    if (more < 0 || more > self->capacity - self->end) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "more bytes than there was room for");
        return -1;
    }
    return cut_bytes(self, more, take, to);
}

static int take_in_place(Cutter *self, int text, const unsigned char *payload, Py_ssize_t len, PyObject *Py_UNUSED(to))
{
    if (text != self->checker->text)
        return wrong(self->checker);
    return check_bytes(self->checker, payload, len);
}

static PyObject *object_of(int text, const unsigned char *payload, Py_ssize_t len)
{
    if (text)
        return PyUnicode_DecodeUTF8((const char *)payload, len, "strict");
    return PyBytes_FromStringAndSize((const char *)payload, len);
}

static int take_with_call(Cutter *Py_UNUSED(self), int text, const unsigned char *payload, Py_ssize_t len, PyObject *to)
{
    PyObject *message = object_of(text, payload, len);
    if (message == NULL)
        return -1;
    PyObject *result = PyObject_CallOneArg(to, message);
    Py_DECREF(message);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int take_to_list(Cutter *Py_UNUSED(self), int text, const unsigned char *payload, Py_ssize_t len, PyObject *to)
{
    PyObject *message = object_of(text, payload, len);
    int result = message == NULL ? -1 : PyList_Append(to, message);
    Py_XDECREF(message);
    return result;
}

static PyObject *cutter_in_place(Cutter *self, PyObject *n)
{
    Py_ssize_t frames = cut(self, n, take_in_place, NULL);
    return frames < 0 ? NULL : PyLong_FromSsize_t(frames);
}

static PyObject *cutter_call(Cutter *self, PyObject *args)
{
    PyObject *n, *to;
    if (!PyArg_ParseTuple(args, "OO", &n, &to))
        return NULL;
    Py_ssize_t frames = cut(self, n, take_with_call, to);
    return frames < 0 ? NULL : PyLong_FromSsize_t(frames);
}

static PyObject *cutter_list(Cutter *self, PyObject *n)
{
    PyObject *to = PyList_New(0);
    if (to != NULL && cut(self, n, take_to_list, to) < 0)
        Py_CLEAR(to);
    return to;
}

static PyMethodDef cutter_methods[] = {
    {"in_place", (PyCFunction)cutter_in_place, METH_O, "n bytes came: checks whole frames where they lie; how many."},
    {"call", (PyCFunction)cutter_call, METH_VARARGS, "n bytes came: calls a function with each message; how many."},
    {"list", (PyCFunction)cutter_list, METH_O, "n bytes came: the messages."},
    {NULL},
};

static PyType_Slot cutter_slots[] = {
    {Py_tp_doc, "Cutter(checker, capacity): as a buffer it is the room to read into."},
    {Py_tp_init, cutter_init},
    {Py_tp_dealloc, cutter_dealloc},
    {Py_tp_methods, cutter_methods},
    {Py_bf_getbuffer, cutter_buffer},
    {Py_sq_length, cutter_len},
    {0, NULL},
};

static PyType_Spec cutter_spec = {"native.Cutter", sizeof(Cutter), 0, Py_TPFLAGS_DEFAULT, cutter_slots};

/* ---- frames to send ---- */

static uint64_t key_state = 0x9E3779B97F4A7C15;

static Py_ssize_t framed(Py_ssize_t len) { return len + (len < 126 ? 6 : len < 65536 ? 8 : 14); }

/* A masked binary frame, copied and masked in one pass; xorshift for the key, the cheapest there is. */
static void put_frame(unsigned char *out, const unsigned char *payload, Py_ssize_t len)
{
    key_state ^= key_state << 13;
    key_state ^= key_state >> 7;
    key_state ^= key_state << 17;
    uint32_t key = key_state >> 32;
    *out++ = 0x82;
    if (len < 126) {
        *out++ = 0x80 | len;
    } else if (len < 65536) {
        *out++ = 0x80 | 126;
        *out++ = len >> 8;
        *out++ = len;
    } else {
        uint64_t wide = __builtin_bswap64(len);
        *out++ = 0x80 | 127;
        memcpy(out, &wide, 8);
        out += 8;
    }
    memcpy(out, &key, 4);
    out += 4;
    uint64_t wide = (uint64_t)key << 32 | key, word;
    Py_ssize_t at = 0;
    for (; at + 8 <= len; at += 8) {
        memcpy(&word, payload + at, 8);
        word ^= wide;
        memcpy(out + at, &word, 8);
    }
    for (; at < len; at++)
        out[at] = payload[at] ^ ((unsigned char *)&key)[at & 3];
}

static PyObject *frame(PyObject *Py_UNUSED(module), PyObject *payload)
{
    char *bytes;
    Py_ssize_t len;
    if (PyBytes_AsStringAndSize(payload, &bytes, &len) < 0)
        return NULL;
    PyObject *out = PyBytes_FromStringAndSize(NULL, framed(len));
    if (out != NULL)
        put_frame((unsigned char *)PyBytes_AS_STRING(out), (unsigned char *)bytes, len);
    return out;
}

static PyObject *append_frame(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *out;
    char *bytes;
    Py_ssize_t len;
    if (!PyArg_ParseTuple(args, "O!y#", &PyByteArray_Type, &out, &bytes, &len))
        return NULL;
    Py_ssize_t before = PyByteArray_GET_SIZE(out);
    if (PyByteArray_Resize(out, before + framed(len)) < 0)
        return NULL;
    put_frame((unsigned char *)PyByteArray_AS_STRING(out) + before, (unsigned char *)bytes, len);
    Py_RETURN_NONE;
}

/* ---- Link: a socket whose callback steps the task that waits ---- */

/* What any library takes that steps a task from `add_reader`, and nothing else: no object for a message, none to wait with, no rule
 * judged, no time limit. The task waits for one future again and again, which is never done: its wake-up function is taken out. */
typedef struct {
    PyObject_HEAD
    Cutter *cutter;
    int fd;
    /* The future, its method that takes a function out, another that is done, and what steps the task in which context. */
    PyObject *future, *take_out, *finished, *wakeup, *context;
    Py_ssize_t frames;
    unsigned char *out;
} Link;

static PyTypeObject *cutter_type;
/* The name of what a task looks at. */
static PyObject *blocking;

static int link_init(Link *self, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    if (!PyArg_ParseTuple(args, "O!iOO", cutter_type, &self->cutter, &self->fd, &self->future, &self->finished)) {
        self->cutter = NULL;
        self->future = self->finished = NULL;
        return -1;
    }
    Py_INCREF(self->cutter);
    Py_INCREF(self->future);
    Py_INCREF(self->finished);
    self->take_out = PyObject_GetAttrString(self->future, "remove_done_callback");
    self->out = PyMem_Malloc(self->cutter->capacity);
    return self->take_out == NULL || self->out == NULL ? -1 : 0;
}

static void link_dealloc(Link *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->cutter);
    Py_XDECREF(self->future);
    Py_XDECREF(self->take_out);
    Py_XDECREF(self->finished);
    Py_XDECREF(self->wakeup);
    Py_XDECREF(self->context);
    PyMem_Free(self->out);
    type->tp_free(self);
    Py_DECREF(type);
}

/* The function that the task put into the future when it waited for the first time: later ones are equal to it. */
static int link_find(Link *self)
{
    PyObject *callbacks = PyObject_GetAttrString(self->future, "_callbacks");
    int found = callbacks && PyList_Check(callbacks) &&
                PyArg_ParseTuple(PyList_GET_ITEM(callbacks, 0), "OO", &self->wakeup, &self->context);
    if (found) {
        Py_INCREF(self->wakeup);
        Py_INCREF(self->context);
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError, "nobody waits");
    }
    Py_XDECREF(callbacks);
    return found ? 0 : -1;
}

static PyObject *link_on_readable(Link *self, PyObject *Py_UNUSED(unused))
{
    Cutter *cutter = self->cutter;
    ssize_t more = recv(self->fd, cutter->bytes + cutter->end, cutter->capacity - cutter->end, 0);
    if (more <= 0) {
        PyErr_SetString(PyExc_ConnectionError, "the server closed the connection");
        return NULL;
    }
    Py_ssize_t frames = cut_bytes(cutter, more, take_in_place, NULL);
    if (frames < 0)
        return NULL;
    self->frames += frames;
    if (frames == 0)
        Py_RETURN_NONE;
    if (self->wakeup == NULL && link_find(self) < 0)
        return NULL;
    PyObject *taken = PyObject_CallOneArg(self->take_out, self->wakeup);
    if (taken == NULL)
        return NULL;
    Py_DECREF(taken);
    if (PyContext_Enter(self->context) < 0)
        return NULL;
    PyObject *result = PyObject_CallOneArg(self->wakeup, self->finished);
    if (PyContext_Exit(self->context) < 0)
        Py_CLEAR(result);
    return result;
}

static PyObject *link_send(Link *self, PyObject *payload)
{
    char *bytes;
    Py_ssize_t len;
    if (PyBytes_AsStringAndSize(payload, &bytes, &len) < 0)
        return NULL;
    if (framed(len) > self->cutter->capacity) {
        PyErr_SetString(PyExc_ValueError, "more than can be read back");
        return NULL;
    }
    put_frame(self->out, (unsigned char *)bytes, len);
    ssize_t sent = send(self->fd, self->out, framed(len), MSG_NOSIGNAL);
    if (sent == framed(len))
        Py_RETURN_NONE;
    if (sent < 0 && errno != EAGAIN)
        return PyErr_SetFromErrno(PyExc_OSError);
    sent = sent < 0 ? 0 : sent;
    return PyBytes_FromStringAndSize((char *)self->out + sent, framed(len) - sent);
}

static PyObject *link_itself(PyObject *self) { return Py_NewRef(self); }

/* A message that was checked, or the future to wait for. */
static PySendResult link_step(Link *self, PyObject *Py_UNUSED(value), PyObject **result)
{
    if (self->frames) {
        self->frames--;
        *result = Py_NewRef(Py_None);
        return PYGEN_RETURN;
    }
    *result = NULL;
    if (PyObject_SetAttr(self->future, blocking, Py_True) < 0)
        return PYGEN_ERROR;
    *result = Py_NewRef(self->future);
    return PYGEN_NEXT;
}

/* The same for those who iterate. */
static PyObject *link_next(Link *self)
{
    PyObject *result;
    if (link_step(self, NULL, &result) == PYGEN_RETURN)
        Py_CLEAR(result);
    return result;
}

static PyMethodDef link_methods[] = {
    {"on_readable", (PyCFunction)link_on_readable, METH_NOARGS, "Reads, checks, steps the task that waits."},
    {"send", (PyCFunction)link_send, METH_O, "Sends a message; what did not fit, or None."},
    {NULL},
};

static PyType_Slot link_slots[] = {
    {Py_tp_doc, "Link(cutter, fd, future, finished): awaited, it is one message."},
    {Py_tp_init, link_init},
    {Py_tp_dealloc, link_dealloc},
    {Py_tp_methods, link_methods},
    {Py_tp_iter, link_itself},
    {Py_tp_iternext, link_next},
    {Py_am_await, link_itself},
    {Py_am_send, link_step},
    {0, NULL},
};

static PyType_Spec link_spec = {"native.Link", sizeof(Link), 0, Py_TPFLAGS_DEFAULT, link_slots};

static PyMethodDef methods[] = {
    {"frame", frame, METH_O, "A masked binary frame."},
    {"append_frame", append_frame, METH_VARARGS, "Appends one to a bytearray."},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "native", .m_doc = "Checks and minimal framing.", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_native(void)
{
    PyObject *module = PyModule_Create(&definition);
    checker_type = (PyTypeObject *)PyType_FromSpec(&checker_spec);
    cutter_type = (PyTypeObject *)PyType_FromSpec(&cutter_spec);
    PyObject *link_type = PyType_FromSpec(&link_spec);
    blocking = PyUnicode_InternFromString("_asyncio_future_blocking");
    if (module == NULL || checker_type == NULL || cutter_type == NULL || link_type == NULL || blocking == NULL ||
        PyModule_AddObjectRef(module, "Checker", (PyObject *)checker_type) < 0 ||
        PyModule_AddObjectRef(module, "Cutter", (PyObject *)cutter_type) < 0 ||
        PyModule_AddObjectRef(module, "Link", link_type) < 0)
        return NULL;
    return module;
}
