package android.content

import java.io.File

class Context(folder: File) {
    val assets = android.content.res.AssetManager(folder)
}
