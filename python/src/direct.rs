//! What is done with an object of CPython's own for each message, without the looking up that leads there.
#![expect(unsafe_code, reason = "functions of CPython, called as CPython calls them")]

use std::ffi::c_void;
use std::mem::transmute;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// An attribute of the objects of one type, set with the function that its descriptor has.
#[derive(Debug)]
pub(crate) struct Setter {
    name: Py<PyString>,
    descriptor: Py<PyAny>,
    /// None where the type is one in Python.
    set: Option<ffi::descrsetfunc>,
}

impl Setter {
    /// The attribute `name` of objects of `kind`.
    pub(crate) fn new(kind: &Bound<'_, PyAny>, name: &str) -> PyResult<Self> {
        let descriptor = kind.getattr(name)?;
        // SAFETY: the slot of a type has such a function or null.
        let set = unsafe {
            let kind = ffi::Py_TYPE(descriptor.as_ptr());
            let slot = ffi::PyType_GetSlot(kind, ffi::Py_tp_descr_set);
            transmute::<*mut c_void, Option<ffi::descrsetfunc>>(slot)
        };
        Ok(Self { name: PyString::intern(kind.py(), name).unbind(), descriptor: descriptor.unbind(), set })
    }

    /// Sets it. An object of another type is an error.
    #[inline]
    pub(crate) fn set(&self, object: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(set) = self.set else { return object.setattr(self.name.bind(object.py()), value) };
        // SAFETY: the descriptor's own function, which looks at the object's type; all three are held meanwhile.
        if unsafe { set(self.descriptor.as_ptr(), object.as_ptr(), value.as_ptr()) } != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(())
    }
}

/// A function of two arguments.
#[derive(Debug)]
pub(crate) struct Function {
    function: Py<PyAny>,
    /// How it is called with arguments that lie in a row, which the limited API of 3.11 does not tell.
    #[cfg(not(feature = "abi3"))]
    vectorcall: Option<ffi::vectorcallfunc>,
}

impl Function {
    pub(crate) fn new(function: Bound<'_, PyAny>) -> Self {
        Self {
            // SAFETY: any object may be asked.
            #[cfg(not(feature = "abi3"))]
            vectorcall: unsafe { ffi::PyVectorcall_Function(function.as_ptr()) },
            function: function.unbind(),
        }
    }

    /// Calls it.
    #[inline]
    pub(crate) fn call<'py>(
        &self,
        first: &Bound<'py, PyAny>,
        second: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = first.py();
        #[cfg(not(feature = "abi3"))]
        if let Some(vectorcall) = self.vectorcall {
            let arguments = [first.as_ptr(), second.as_ptr()];
            // SAFETY: the function's own, with two arguments by position that are held meanwhile; a new reference, or null with an
            // exception set.
            return unsafe {
                let result = vectorcall(self.function.as_ptr(), arguments.as_ptr(), 2, std::ptr::null_mut());
                Bound::from_owned_ptr_or_err(py, result)
            };
        }
        self.function.bind(py).call1((first, second))
    }
}
