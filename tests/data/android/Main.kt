package check

import android.content.Context
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File
import leukolite.Decision
import leukolite.LeukoliteClassifier
import leukolite.LeukoliteGoldenTest
import leukolite.Preprocess
import leukolite.Rgb

/** `test`, `resize IN OUT`, `decide IN OUT` or `classify IN OUT`: the generated Kotlin on the cases of a binary file. */
fun main(arguments: Array<String>) {
    if (arguments[0] == "test") return test()
    DataInputStream(File(arguments[1]).inputStream().buffered()).use { input ->
        DataOutputStream(File(arguments[2]).outputStream().buffered()).use { output ->
            when (arguments[0]) {
                "resize" -> resize(input, output)
                "decide" -> decide(input, output)
                "classify" -> classify(input, output)
            }
        }
    }
}

private fun test() {
    for (method in LeukoliteGoldenTest::class.java.declaredMethods.sortedBy { it.name }) {
        if (!method.isAnnotationPresent(org.junit.Test::class.java)) continue
        try {
            method.invoke(LeukoliteGoldenTest())
            println("passed ${method.name}")
        } catch (error: java.lang.reflect.InvocationTargetException) {
            println("failed ${method.name}: ${error.targetException.message}")
        }
    }
}

private fun image(input: DataInputStream): Rgb {
    val height = input.readInt()
    val width = input.readInt()
    return Rgb(width, height, ByteArray(height * width * 3).also { input.readFully(it) })
}

private fun resize(input: DataInputStream, output: DataOutputStream) = repeat(input.readInt()) {
    val height = input.readInt()
    val width = input.readInt()
    val fraction = input.readDouble()
    val kernel = if (input.readBoolean()) "halve-linear" else "area"
    val crop = listOf("centre-square", "stretch", "pad")[input.readInt()]
    output.write(Preprocess.cropAndResize(image(input), width, height, fraction, kernel, crop).bytes)
}

private fun decide(input: DataInputStream, output: DataOutputStream) = repeat(input.readInt()) {
    val temperature = input.readDouble()
    val threshold = input.readDouble().takeUnless { it.isNaN() }
    val low = input.readDouble()
    val high = input.readDouble()
    val malignant = List(input.readInt()) { input.readInt() }
    val calibrated = Decision.calibrate(FloatArray(input.readInt()) { input.readFloat() }, temperature)
    output.writeInt(Decision.decide(calibrated, threshold, if (low.isNaN()) null else low..high, malignant) ?: -1)
    for (value in calibrated) output.writeFloat(value)
}

private fun classify(input: DataInputStream, output: DataOutputStream) =
    LeukoliteClassifier.open(Context(File(System.getProperty("assets")))).use { classifier ->
        repeat(input.readInt()) {
            val verdict = classifier.classify(image(input))
            output.writeInt(verdict.index ?: -1)
            for (value in verdict.probabilities) output.writeFloat(value)
        }
    }
