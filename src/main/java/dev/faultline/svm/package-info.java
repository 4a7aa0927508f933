/**
 * AMD SVM as KVM nests it: the fields of the VMCB, its intercepts and controls, and the places of a
 * VMCB that KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE carry.
 */
@NullMarked
package dev.faultline.svm;

import org.jspecify.annotations.NullMarked;
