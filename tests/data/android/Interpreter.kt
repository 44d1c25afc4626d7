package org.tensorflow.lite

import java.io.File
import java.nio.ByteBuffer
import java.security.MessageDigest

enum class DataType { FLOAT32, UINT8 }

class Tensor(private val type: DataType, private val shape: IntArray, private val params: QuantizationParams) {
    class QuantizationParams(val scale: Float, val zeroPoint: Int)

    fun shape(): IntArray = shape

    fun dataType(): DataType = type

    fun numBytes(): Int = shape.fold(if (type == DataType.FLOAT32) 4 else 1) { product, length -> product * length }

    fun quantizationParams(): QuantizationParams = params
}

/** Answers from the file of the property `answers`: two lines for the tensors, then 'sha256-of-input output-in-hex' lines. */
class Interpreter(model: ByteBuffer, options: Options) : AutoCloseable {
    class Options {
        fun setNumThreads(threads: Int): Options = this
    }

    private val lines = File(System.getProperty("answers")).readLines()
    private val answers = lines.drop(2).associate { line -> line.substringBefore(" ") to line.substringAfter(" ") }
    private val tensors = lines.take(2).map { line ->
        val (type, shape, scale, zeroPoint) = line.split(" ")
        val lengths = shape.split(",").map { it.toInt() }.toIntArray()
        Tensor(DataType.valueOf(type), lengths, Tensor.QuantizationParams(scale.toFloat(), zeroPoint.toInt()))
    }

    init {
        check(model.isDirect && model.position() == 0 && model.get(4).toInt() == 'T'.code) { "no TFLite model in a direct buffer" }
    }

    val inputTensorCount = 1
    val outputTensorCount = 1

    fun getInputTensor(index: Int): Tensor = tensors[index]

    fun getOutputTensor(index: Int): Tensor = tensors[1 + index]

    fun run(input: Any, output: Any) {
        val given = input as ByteBuffer
        check(given.isDirect && given.capacity() == tensors[0].numBytes()) { "input of ${given.capacity()} bytes" }
        val bytes = ByteArray(given.capacity()) { given.get(it) }
        val key = MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }
        val answer = checkNotNull(answers[key]) { "an input that leukolite's preprocessing never makes" }
        (output as ByteBuffer).put(answer.chunked(2).map { it.toInt(16).toByte() }.toByteArray())
    }

    override fun close() = Unit
}
