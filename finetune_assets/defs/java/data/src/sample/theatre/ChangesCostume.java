/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.theatre;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * Marks a method that changes the books of the theatre, so that the audit can find it.
 *
 * <p>The audit reads it by reflection; it has no effect of its own.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface ChangesCostume {

  /** Says in a few words why the costume is changed. */
  String value();

  /** Names the stages in which the change is allowed; all of them when empty. */
  CostumeState[] allowedIn() default {};

  /** Names the form on paper that goes with the change, with the mark of the theatre. */
  String form() default "theatre-0";
}
