package androidx.test.platform.app

import android.content.Context
import java.io.File

class Instrumentation {
    val targetContext = Context(File(System.getProperty("assets")))
}

object InstrumentationRegistry {
    @JvmStatic
    fun getInstrumentation() = Instrumentation()
}
