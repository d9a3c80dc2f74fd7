"""Compile rules of the Lanes algebra into loops over arrays, without the kernels: what the bits of a rule are."""

import ctypes

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir

from fastgraph.callee import callee_of
from fastgraph.engine.lanes import F32, F64, Floats, Lanes

_I64, _POINTER = ir.IntType(64), ir.PointerType()


def compile_rules(rules, width, dtype=np.float64, results=1):
    """Compile ``rules``, name -> (rule, arity), at ``width`` lanes; return name -> function of arrays.

    A rule is called as ``rule(m, *lanes)`` with the Lanes algebra ``m`` of the dtype, and gives lanes or, where
    ``results`` is not 1, up to so many of them. A function gives an array, or a list. It keeps its machine code alive.
    """
    module = ir.Module()
    element = F32 if dtype == np.float32 else F64
    for name, (rule, arity) in rules.items():
        _emit_loop(module, f"loop.{name}", rule, arity, results, width, element)
    engine = _machine_code(module)
    return {
        name: _Loop(engine, engine.get_function_address(f"loop.{name}"), arity, results, width, np.dtype(dtype))
        for name, (_, arity) in rules.items()
    }


def named(m, op):
    """The last table or function of those that ``op`` is tested with, as rules on ``m`` take it."""
    numbers = op.domain.immediates[-1]
    if not isinstance(m, Lanes):
        return numbers
    if op.names == "function":
        dtype = np.dtype(np.float64 if m.element is F64 else np.float32)
        return ir.Constant(_I64, callee_of(numbers).address(dtype))
    values = [float(len(numbers)), *numbers]
    kind = ir.ArrayType(m.element, len(values))
    table = ir.GlobalVariable(m.builder.module, kind, m.builder.module.get_unique_name("table"))
    table.initializer = ir.Constant(kind, values)
    return m.builder.bitcast(table, _POINTER)


def _emit_loop(module, symbol, rule, arity, results, width, element):
    """``void loop(count, operand..., out...)``: the rule on ``width`` elements at a time, which divides ``count``."""
    loop = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64] + [_POINTER] * (arity + results)), symbol)
    count, arrays, outs = loop.args[0], loop.args[1 : 1 + arity], loop.args[1 + arity :]
    builder = ir.IRBuilder(loop.append_basic_block("entry"))
    entry, body, done = builder.block, loop.append_basic_block("body"), loop.append_basic_block("done")
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(_I64)
    index.add_incoming(ir.Constant(_I64, 0), entry)
    m = Lanes(builder, width, element)
    lanes = [
        Floats(m, builder.load(builder.gep(array, [index], source_etype=element), typ=m.type_of(Floats), align=4))
        for array in arrays
    ]
    given = rule(m, *lanes)
    for result, out in zip(given if isinstance(given, list) else [given], outs, strict=False):
        builder.store(m.floats(result).v, builder.gep(out, [index], source_etype=element), align=4)
    following = builder.add(index, ir.Constant(_I64, width))
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), body, done)
    builder.position_at_end(done)
    builder.ret_void()


def _machine_code(module):
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    builder = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(2))
    builder.getModulePassManager().run(parsed, builder)
    engine = llvm.create_mcjit_compiler(parsed, target)
    engine.finalize_object()
    return engine


class _Loop:
    def __init__(self, engine, address, arity, results, width, dtype):
        self._engine = engine
        self._call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (arity + results))(address)
        self._results, self._width, self._dtype = results, width, dtype

    def __call__(self, *arrays):
        arrays = np.broadcast_arrays(*arrays)
        shape, count = arrays[0].shape, arrays[0].size
        padding = -count % self._width
        arrays = [np.concatenate([np.ravel(a), np.ones(padding)]).astype(self._dtype) for a in arrays]
        outs = [np.zeros(count + padding, self._dtype) for _ in range(self._results)]
        if count:
            self._call(count + padding, *(a.ctypes.data for a in [*arrays, *outs]))
        found = [out[:count].reshape(shape) for out in outs]
        return found[0] if self._results == 1 else found
