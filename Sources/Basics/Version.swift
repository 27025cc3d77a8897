/// pivotd's version, by Semantic Versioning.
package let pivotdVersion = "0.1.0"
