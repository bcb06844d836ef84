/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.ropeworks;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * Marks a method that changes the books of the ropeworks, so that the audit can find it.
 *
 * <p>The audit reads it by reflection; it has no effect of its own.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface ChangesCable {

  /** Says in a few words why the cable is changed. */
  String value();

  /** Names the stages in which the change is allowed; all of them when empty. */
  CableState[] allowedIn() default {};

  /** Names the form on paper that goes with the change, with the mark of the ropeworks. */
  String form() default "ropeworks-0";
}
