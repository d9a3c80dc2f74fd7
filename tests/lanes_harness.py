"""Compile rules of the Lanes algebra into loops over arrays, without the kernels: what the bits of a rule are."""

import ctypes

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir

from fastgraph.engine.lanes import Floats, Lanes

_F64, _I64, _POINTER = ir.DoubleType(), ir.IntType(64), ir.PointerType()


def compile_rules(rules, width):
    """Compile ``rules``, name -> (rule, arity), at ``width`` lanes; return name -> function of float64 arrays.

    A rule is called as ``rule(m, *lanes)`` with the Lanes algebra ``m``. The functions keep the machine code alive.
    """
    module = ir.Module()
    for name, (rule, arity) in rules.items():
        _emit_loop(module, f"loop.{name}", rule, arity, width)
    engine = _machine_code(module)
    return {
        name: _Loop(engine, engine.get_function_address(f"loop.{name}"), arity, width)
        for name, (_, arity) in rules.items()
    }


def _emit_loop(module, symbol, rule, arity, width):
    """``void loop(count, operand..., out)``: the rule on ``width`` elements at a time, which divides ``count``."""
    loop = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64] + [_POINTER] * (arity + 1)), symbol)
    count, *arrays, out = loop.args
    builder = ir.IRBuilder(loop.append_basic_block("entry"))
    entry, body, done = builder.block, loop.append_basic_block("body"), loop.append_basic_block("done")
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(_I64)
    index.add_incoming(ir.Constant(_I64, 0), entry)
    m = Lanes(builder, width)
    lanes = [
        Floats(m, builder.load(builder.gep(array, [index], source_etype=_F64), typ=m.type_of(Floats), align=8))
        for array in arrays
    ]
    result = m.floats(rule(m, *lanes))
    builder.store(result.v, builder.gep(out, [index], source_etype=_F64), align=8)
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
    def __init__(self, engine, address, arity, width):
        self._engine = engine
        self._call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (arity + 1))(address)
        self._width = width

    def __call__(self, *arrays):
        arrays = np.broadcast_arrays(*arrays)
        shape, count = arrays[0].shape, arrays[0].size
        padding = -count % self._width
        arrays = [np.concatenate([np.ravel(a).astype(np.float64), np.ones(padding)]) for a in arrays]
        out = np.empty(count + padding)
        if count:
            self._call(out.size, *(a.ctypes.data for a in arrays), out.ctypes.data)
        return out[:count].reshape(shape)
