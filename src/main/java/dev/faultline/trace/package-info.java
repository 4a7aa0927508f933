/**
 * Foreign text and recordings, read line by line into observations; no files here, only streams.
 */
@NullMarked
package dev.faultline.trace;

import org.jspecify.annotations.NullMarked;
