/**
 * Opens what a user names, files and folders, as recordings with the trace and the facts that lie
 * beside them.
 */
@NullMarked
package dev.faultline.ingest;

import org.jspecify.annotations.NullMarked;
