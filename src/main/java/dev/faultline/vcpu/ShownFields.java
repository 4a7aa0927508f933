package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;

/**
 * What an input shows of a struct that it does not hold whole, such as a trace that prints some
 * fields and leaves out the others.
 *
 * @param bytes the struct; bytes of fields that are not shown mean nothing
 * @param fields the fields that are shown, by their index in the struct's layout
 */
public record ShownFields(Bytes bytes, FieldSet fields) {}
