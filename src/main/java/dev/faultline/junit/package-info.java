/**
 * The extension of JUnit Jupiter by which tests of a VMM assert that its vCPUs survive migration,
 * over a recording or over a state that the test builds.
 */
@NullMarked
package dev.faultline.junit;

import org.jspecify.annotations.NullMarked;
